"""TODO gpuprof.nightly"""
