"""The sections of a comparison, a file each: `blocks` yields its content. stories/comparison.py orders them."""
