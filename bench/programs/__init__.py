"""What is measured, each as a process: `python -m bench.programs.NAME ORDER`."""
