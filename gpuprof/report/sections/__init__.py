"""TODO gpuprof.report.sections"""
