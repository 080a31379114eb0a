"""Many films, one after the other: which films and facts (``cases``), their run (``run``), a row each (``rows``)."""
