"""What a lab found: checks that held or not, figures in tables, all of it as JSON too."""

import json
import sys


class Report:
    """Collects and prints."""

    def __init__(self, lab):
        self.lab = lab
        self.checks = []
        self.tables = {}

    def check(self, what, held, detail=""):
        """Notes whether something held, and prints it at once. Returns `held`."""
        self.checks.append({"check": what, "held": bool(held), "detail": str(detail)})
        print(f"{'ok  ' if held else 'FAIL'}  {what}{': ' if detail else ''}{detail}", flush=True)
        return bool(held)

    def row(self, table, **figures):
        """Adds a row to a table of figures; its columns are the names of its first row's figures."""
        self.tables.setdefault(table, []).append(figures)

    def held(self):
        """Whether everything held, and there was something to hold."""
        return bool(self.checks) and all(check["held"] for check in self.checks)

    def print_tables(self):
        """Prints the figures."""
        for title, rows in self.tables.items():
            columns = list(dict.fromkeys(column for row in rows for column in row))
            cells = [columns] + [[_text(row.get(column, "")) for column in columns] for row in rows]
            widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
            print(f"\n{title}")
            for line in cells:
                print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        failed = [check["check"] for check in self.checks if not check["held"]]
        print(f"\n{self.lab}: {len(self.checks) - len(failed)} held, {len(failed)} failed"
              + "".join(f"\n  FAILED: {name}" for name in failed))
        sys.stdout.flush()

    def write_json(self, path):
        """Writes everything as one JSON object."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"lab": self.lab, "held": self.held(), "tables": self.tables, "checks": self.checks}, file, indent=1)
            file.write("\n")


def _text(value):
    return f"{value:.2f}" if isinstance(value, float) else str(value)
