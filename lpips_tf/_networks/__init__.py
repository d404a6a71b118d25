"""Backbones: AlexNet, VGG16 and SqueezeNet 1.1, and the layers that they are built from."""
