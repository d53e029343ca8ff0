"""What the gate looks at, a file each: its report, its thresholds, its checks, and what may be waived.

Steps of the pipeline and the judge build the reports; `ml.gate.registry` calls the checks. To add a check on
a number that is already reported, declare its threshold and yield the check in the subject's file. Start
reading at `budget`.
"""
