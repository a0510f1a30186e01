// The whole library under one name.
@_exported import Architectures
@_exported import Evaluation
@_exported import ModelFiles
@_exported import ModelHub
@_exported import Recipes
@_exported import Runs
@_exported import Sampling
@_exported import Tasks
@_exported import Tensors
@_exported import Tokenization
@_exported import Training
