package weir

import (
	"context"
	"encoding/json"

	"github.com/weirstream/weir/task"
)

// sourceAdapter shows a Source to the engine, which does not know this package.
type sourceAdapter[T any] struct{ source Source[T] }

func (a sourceAdapter[T]) Splits(ctx context.Context, parallelism int) ([]task.Split, error) {
	splits, err := a.source.Splits(ctx, parallelism)
	converted := make([]task.Split, len(splits))
	for i, s := range splits {
		converted[i] = task.Split(s)
	}
	return converted, err
}

func (a sourceAdapter[T]) Open(ctx context.Context, split task.Split, position []byte) (task.Reader[T], error) {
	return a.source.Open(ctx, Split(split), position)
}

func (a sourceAdapter[T]) Bounded() bool { return a.source.Bounded() }

// sinkAdapter shows a Sink to the engine.
type sinkAdapter[T any] struct{ sink Sink[T] }

func (a sinkAdapter[T]) Open(ctx context.Context, subtask, parallelism int, name string) (task.Writer[T], error) {
	return a.sink.Open(ctx, Subtask{Index: subtask, Parallelism: parallelism, Name: name})
}

func encodeOnce(v any) ([]byte, error)    { return json.Marshal(v) }
func decodeOnce(data []byte, v any) error { return json.Unmarshal(data, v) }
