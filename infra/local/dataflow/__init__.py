"""Seldon's pipelines, executed inside one MLServer process.

What Seldon Core 2 does with a pipeline gateway, Kafka Streams and a model gateway,
this does for one machine with calls inside the process; Kafka gets a copy of every message.
`executor.Executor` is the way in; `infra.local.mesh.dataflow` is the document that it executes.
The semantics need nothing of MLServer: `serving` puts the two together.

What a pipeline means
---------------------
- A source is `<step or pipeline>.<inputs|outputs>`. References to several of its tensors are one
  source; one that names a tensor narrows one that names none.
  A step runs when its sources are there as its join says, and at least one of the tensors that it
  asks of a source is. `tensor_map` gives a tensor another name for this step.
- *inner*: every source, each within the window of the latest of those named before it.
  *outer*: what is there when the window ends, counted from the first that came;
  at once when nothing else can come any more. *any*: the first.
  Triggers are joined alike, and then, inner, with the inputs.
- Steps run side by side where they can. What does not lead to the answer runs on after it.
- A model's error ends the call: `<step> : rpc error: …`; what is running ends, nothing new begins.
  A model that is not served is a source that gives nothing: an outer join goes on without it.
- A call that can have no answer any more ends at once, with the steps that did not run and why:
  503 if a step's model is not served, 400 for what lies in the request.
- A model that is the default of an experiment is split by weight at each call of the step.
- `batch_size`: see `batches`.
- A pipeline with `input` also runs, beside the caller's path, on what other pipelines emit for a
  request, at most once a request. Its joins are among what that one request set off.

Where Seldon differs
--------------------
- It never answers where nothing reaches the output, where a pipeline has no output (its steps run
  here too), where a model is missing, and to all but the last request of a batch.
- It runs a step once more when a partner comes late to an outer or any join. Here, once.
- After a model's error it lets other branches go on to later steps.
- It panics at a string in a numeric tensor, and fills what is missing of a shape with zeros;
  here both are a 400 that says what and where, see `wire`.
- It answers BYTES without `content_type: str` as base64. Here they are text, as from a model, and
  base64 (with `content_type: base64`) only where they are not UTF-8.
- Its answer has the route headers of one side of a join. Here, of every step that ran.
- Kafka's key is the request's id; Seldon's is `<partition>.<pipeline>.<id>`.

What can be lost
----------------
Nothing on a caller's path waits for Kafka, so records can be lost, never requests.
What a call has to publish is handed over when its answer is on its way, to a queue of
`outbox.QUEUE_RECORDS` records, and from there to Kafka's client, which keeps what
`runtimes.contract.publishing` says, and for how long. So these are lost:

- with the process, what both queues hold (milliseconds of records while Kafka is there);
- with Kafka down for longer than that time, or with more records than fit, what does not fit.

Each is counted: `bellwether_records_lost{client="pipelines"}` by reason.
"""
