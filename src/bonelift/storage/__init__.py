"""Files and folders that appear whole or not at all, on the disk before they have their name."""
