"""gpuprof: which GPU, NVIDIA or AMD, should run this deep-learning work?"""

__version__ = "0.1.0"
