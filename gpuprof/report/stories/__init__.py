"""TODO gpuprof.report.stories"""
