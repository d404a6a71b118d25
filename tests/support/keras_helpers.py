"""A small model, and gradients in each way of running TensorFlow."""

import keras
import tensorflow as tf

POLICIES = ["float32", "mixed_bfloat16", "mixed_float16"]
MODES = {
    "eager": lambda function: function,
    "graph": tf.function,
    "XLA": lambda function: tf.function(function, jit_compile=True),
}


def network(outputs=1):
    """A small model from images to images."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    drawn = [
        keras.layers.Conv2D(3, 3, padding="same", activation="tanh", name=f"image{i}")(image)
        for i in range(outputs)
    ]
    return keras.Model(image, drawn if outputs > 1 else drawn[0])


def with_gradient(metric, x, y):
    """The distances' sum and its gradient with respect to y."""
    with tf.GradientTape() as tape:
        tape.watch(y)
        loss = tf.reduce_sum(metric(x, y))
    return loss, tape.gradient(loss, y)
