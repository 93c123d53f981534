<!doctype html><title>Counter</title><p><?= count_once() ?></p>
