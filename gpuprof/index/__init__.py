"""TODO gpuprof.index"""
