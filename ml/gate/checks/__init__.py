"""What the gate checks in each report: functions from a report and its thresholds to checks."""
