"""The sections of a comparison, a file each: `blocks` gives what stands in it. stories/comparison.py orders them."""
