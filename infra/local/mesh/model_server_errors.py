"""What can go wrong between the mesh and MLServer."""


class LoadError(Exception):
    """MLServer could not load a model; the message is MLServer's."""


class ReloadError(Exception):
    """MLServer does not act on the document of pipelines; the message is MLServer's."""


class ModelServerGoneError(Exception):
    """MLServer does not answer."""
