"""Enhancement with ESPnet.

``task``, ``model`` and ``trainer`` extend ESPnet's classes and ``register`` makes ours known to it;
``rates``, ``noise_mixing`` and ``best_model`` serve its trainings. ``nsnet2`` and ``demucs`` are
separators, with modules that import published weights. ``enhancer`` applies a model; ``model_folder``
writes its files. ``in_memory`` trains with all data in memory; ``memory`` predicts the memory of a training
step.
"""
