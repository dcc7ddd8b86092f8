"""One LSTM layer over the history; its last state and the features go to the head."""

import torch

from models import fitting, networks

WIDTH = 24
SCHEDULE = networks.Schedule(epochs=6, epochs_from_start=2, rate=4e-3)


class Recurrent(networks.Body):
    """Reads the days one after the other."""

    def __init__(self, days: int, channels: int, features: int) -> None:
        super().__init__()
        self.shape = (days, channels)
        self.width = 2 * WIDTH
        self.days = torch.nn.LSTM(channels, WIDTH, batch_first=True)
        self.features = torch.nn.Linear(features, WIDTH)

    def forward(self, history: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Give the state [n, 2 WIDTH]."""
        states, _ = self.days(history)
        return torch.cat([states[:, -1], torch.tanh(self.features(features))], dim=1)


def fit(task: fitting.Task) -> fitting.Fitted:
    """Fit on all days alike."""
    torch.manual_seed(task.seed)
    _, days, channels = task.sample.history.shape
    body = Recurrent(days, channels, task.sample.features.shape[1])
    return networks.fit(task, body, SCHEDULE)
