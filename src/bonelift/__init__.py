"""bonelift: 3D models of the distal radius and ulna from wrist radiographs.

Research software, not a medical device.
"""

from bonelift.kernel_cache import provide_cache_place

__version__ = "0.1.0"

RESEARCH_NOTICE = "Research software, not a medical device. Not for diagnosis, treatment or surgical planning."

provide_cache_place()
