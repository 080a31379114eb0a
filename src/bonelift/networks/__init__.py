"""Networks: tensors in, tensors out. ``bundle`` and ``inference`` are the way in; ``locator_input`` needs no torch."""
