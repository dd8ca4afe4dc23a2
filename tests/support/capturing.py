"""Variant graph where there is no GPU."""

from __future__ import annotations

from gpuprof.worker.device import ComputeDevice


class Capturing(ComputeDevice):
    """A CPU that goes through the motions of capturing: eager warm-up steps, recorded steps, then replays in turn."""

    def capture(self, step, graphs):
        self.captured = graphs
        for _ in range(3 + graphs):
            step()
        return step, 0.1
