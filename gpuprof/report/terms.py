"""Words that readers ask about, each explained in a sentence: on hover, and in every report's glossary."""

from __future__ import annotations

from gpuprof.report.story import Cell, Section, Table

TERMS = {
    "ratio": "Candidate divided by baseline: above 1 the candidate has more of what is measured.",
    "interval": "The range in which the true ratio lies, unless chance played a rare trick; 95% unless another "
    "confidence is given. Where it includes 1, no difference was shown.",
    "MDE": "Minimum detectable effect: the smallest difference that this comparison would have shown in about 80% of "
    "repetitions. A smaller one may be there all the same.",
    "no difference shown": "The data fit both a gain and a loss. It does not mean that the sides are equal.",
    "throughput": "Samples processed a second, while batch follows batch without a pause.",
    "latency": "Time that one request takes when it runs alone; p99 is exceeded by one request in a hundred.",
    "energy": "Joules that the device drew for each sample, its idle power included.",
    "power": "Mean watts that the device drew during the work.",
    "memory": "Peak of the device memory that PyTorch allocated.",
    "first step": "Time of the very first step, with all one-time work: compiling, choosing algorithms.",
    "process": "Each repeat runs in a fresh process; processes, not steps, are what the statistics count.",
    "processes": "Each dot is the throughput of one fresh process of the newest run.",
    "speed": "Ratio of throughputs, with the interval that the verdict rests on.",
    "verdict": "Faster or slower where the interval leaves out 1, after allowance for the number of cases.",
    "claim": "A ratio that gets a verdict. All claims of a report together are tested so that chance alone rarely "
    "makes one.",
    "weakens": "A point of the ledger that makes the comparison less sure, without forbidding it.",
    "blocks": "A point of the ledger that forbids a verdict.",
    "noted": "A difference that belongs to the devices, or changes nothing much.",
    "regime": "What limits a case: the device (gpu-bound), or the CPU that feeds it (host-bound).",
    "precision": "The number format of the arithmetic: ieee is full float32, tf32 and bf16 are shorter and faster.",
    "effective precision": "The precision that the device was seen to use, which need not be the one asked for.",
    "scope": "What a sensor covers: the GPU, the board with its memory, or a whole module.",
    "simulated": "A simulator stood in for the hardware: such numbers test gpuprof, and say nothing about a device.",
}


def glossary() -> Section:
    """All of them, folded: they are for those who look for one."""
    rows = [[Cell(term, "strong"), Cell(TERMS[term])] for term in sorted(TERMS, key=str.lower)]
    return Section("glossary", "Glossary", [Table("Terms", ("term", "meaning"), rows, folded=True)])
