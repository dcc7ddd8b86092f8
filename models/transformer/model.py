"""An encoder over patches of five days and one token for the features."""

import torch

from models import fitting, networks

WIDTH = 32
HEADS = 4
LAYERS = 2
PATCH = 5
SCHEDULE = networks.Schedule(epochs=8, epochs_from_start=2, rate=2e-3)


class Attention(networks.Body):
    """Looks at all weeks at once, from the token of the features."""

    def __init__(self, days: int, channels: int, features: int) -> None:
        super().__init__()
        self.shape = (days, channels)
        self.width = WIDTH
        self.patches = days // PATCH
        self.embed_days = torch.nn.Linear(PATCH * channels, WIDTH)
        self.embed_features = torch.nn.Linear(features, WIDTH)
        self.position = torch.nn.Parameter(torch.randn(self.patches + 1, WIDTH) * 0.1)
        layer = torch.nn.TransformerEncoderLayer(
            WIDTH, HEADS, dim_feedforward=2 * WIDTH, dropout=0.1, batch_first=True, norm_first=True
        )
        self.encoder = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)

    def forward(self, history: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Give the state [n, WIDTH] of the token of the features."""
        days, channels = self.shape
        patches = history[:, days % PATCH :].reshape(-1, self.patches, PATCH * channels)
        tokens = torch.cat(
            [self.embed_features(features)[:, None], self.embed_days(patches)], dim=1
        )
        state: torch.Tensor = self.encoder(tokens + self.position)[:, 0]
        return state


def fit(task: fitting.Task) -> fitting.Fitted:
    """Fit on all days alike."""
    torch.manual_seed(task.seed)
    _, days, channels = task.sample.history.shape
    body = Attention(days, channels, task.sample.features.shape[1])
    return networks.fit(task, body, SCHEDULE)
