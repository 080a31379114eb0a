"""Methods for radiograph to bone side by side: one protocol for built-in ones and for those of others."""
