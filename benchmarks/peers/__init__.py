"""The workers of meta_step.py, a module each.

`build(job, parameters, tasks)` returns a function that does one meta-step (inner loop, query loss,
meta-gradient, Adam) and returns the meta-gradient; `canonical(gradients)` gives it as numpy arrays
in the shapes of `job.parameters`.
"""
