"""``bonelift register``: the CT bones of a case, a study or loose files, registered to their radiographs."""
