"""A pytest plugin of `make mutate`: done once, in the process from which mutants are forked.

Most tests need the digest of the code, for which all modules are parsed, and an optimizer of torch
imports modules for two seconds. In every mutant, both took most of the time.
"""

import torch._dynamo  # noqa: F401 - for its import alone

from tasks.core.storage.code_version import imported_files

imported_files("flows.train")
