"""What the sample comparison's page costs a reader: its size, and the time its scripts take in Chromium.

Goals: at most 1.2 MB; at most 300 ms of scripts until the page can be read. What the first chart that a reader points
at takes is shown without a goal.

python scripts/bench/page.py
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIZE, SCRIPT_S = 1.2e6, 0.3


def main() -> int:
    """Print the figures; 1 where a goal is missed."""
    from playwright.sync_api import sync_playwright

    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page = Path(folder) / "demo.html"
        subprocess.run([sys.executable, "-m", "gpuprof", "demo", "-o", page], cwd=ROOT, check=True, capture_output=True)
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        metrics = tab.context.new_cdp_session(tab)
        metrics.send("Performance.enable")

        def script_s() -> float:
            found = metrics.send("Performance.getMetrics")["metrics"]
            return float(next(each["value"] for each in found if each["name"] == "ScriptDuration"))

        tab.goto(page.as_uri())
        tab.wait_for_timeout(500)
        loaded = script_s()
        tab.locator("figure").first.hover()
        tab.wait_for_selector("figure.live")
        size = page.stat().st_size
        print(f"size            {size / 1e6:.2f} MB (goal {SIZE / 1e6:g})")
        print(f"scripts         {1e3 * loaded:.0f} ms (goal {1e3 * SCRIPT_S:.0f})")
        print(f"the first chart {1e3 * (script_s() - loaded):.0f} ms")
        browser.close()
    return int(size > SIZE or loaded > SCRIPT_S)


if __name__ == "__main__":
    sys.exit(main())
