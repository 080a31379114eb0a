"""Speed and accuracy beside other people's engines, measured in one run on one machine. Owns no science."""
