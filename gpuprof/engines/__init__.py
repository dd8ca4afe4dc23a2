"""TODO gpuprof.engines"""
