"""TODO gpuprof.system"""
