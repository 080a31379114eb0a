"""The standard film that every network reads, cut out of a radiograph."""
