package batching_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/batching"
	"github.com/weirstream/weir/connector/generator"
)

// A connector: its sender says how a batch is sent.
func ExampleNew() {
	table := batching.New(func(_ context.Context, subtask weir.Subtask) (batching.Sender[string], error) {
		fmt.Println("connected: subtask", subtask.Index+1, "of", subtask.Parallelism)
		return batching.SendFunc[string](func(_ context.Context, rows []string) ([]batching.Failure, error) {
			fmt.Println("insert", rows)
			return nil, nil
		}), nil
	}).BatchSize(3).Linger(time.Minute)

	run(func(env *weir.Env) {
		weir.From(env, "rows", generator.Of(7, func(i int64) string { return fmt.Sprint("row ", i) })).
			To("table", table)
	})
	// Output:
	// connected: subtask 1 of 1
	// insert [row 0 row 1 row 2]
	// insert [row 3 row 4 row 5]
	// insert [row 6]
}

// A destination that answers for each record: only those that failed are sent
// again. One that the destination can never take fails the job.
func ExampleFailure() {
	attempt := 0
	send := func(_ context.Context, orders []int) (failed []batching.Failure, err error) {
		attempt++
		for i, order := range orders {
			switch {
			case order < 0:
				failed = append(failed, batching.Failure{Index: i, Err: batching.Fatal(errors.New("negative"))})
			case order%2 == 1 && attempt == 1:
				failed = append(failed, batching.Failure{Index: i, Err: errors.New("throttled")})
			}
		}
		fmt.Println("send", orders, "failed:", failed)
		return failed, nil
	}
	orders := batching.New(func(context.Context, weir.Subtask) (batching.Sender[int], error) {
		return batching.SendFunc[int](send), nil
	}).Backoff(time.Millisecond, time.Second)

	w, err := orders.Open(context.Background(), weir.Subtask{Parallelism: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(errors.Join(w.Write([]int{1, 2, 3, 4}), w.(weir.Finisher).Finish(), w.Close()))

	if w, err = orders.Open(context.Background(), weir.Subtask{Parallelism: 1}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(errors.Join(w.Write([]int{6, -5, 8}), w.(weir.Finisher).Finish(), w.Close()))
	// Output:
	// send [1 2 3 4] failed: [{0 throttled} {2 throttled}]
	// send [1 3] failed: []
	// <nil>
	// send [6 -5 8] failed: [{1 negative}]
	// batching: 1 of the 3 records of a request were not accepted, attempts: 1 (not acknowledged in all: 1): negative
}

// run runs a job in this process, in one subtask per operator.
func run(build func(*weir.Env)) {
	err := weir.Run(context.Background(), "example", build, weir.Setting("parallelism.default", "1"), weir.WithoutWarnings())
	if err != nil {
		fmt.Println(err)
	}
}
