"""From the scores of a run folder to tables, statistics, figures and ``report.html``."""
