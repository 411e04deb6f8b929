package batching_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/batching"
	"github.com/weirstream/weir/connector/batching/batchingtest"
)

// TestConvert: records are converted once, also if they are sent twice.
func TestConvert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := batchingtest.New[int](batchingtest.Refuse(errBusy, 1))
		conversions := 0
		sink := batching.Convert(batching.New(d.Open).BatchSize(3).Linger(time.Hour), func(s string) (int, error) {
			conversions++
			return strconv.Atoi(s)
		})
		w, err := sink.Open(t.Context(), weir.Subtask{})
		must(t, err)
		must(t, w.Write([]string{"10", "20"}))
		must(t, w.Write([]string{"30", "40", "50"}))
		must(t, w.(weir.Finisher).Finish())
		if got := fmt.Sprint(d.Acknowledged(), conversions); got != "[10 30 20 40 50] 5" {
			t.Errorf("acknowledged and conversions: %s", got)
		}

		err = w.Write([]string{"60", "x"})
		if want := "batching: a value of type string cannot be converted to int: "; err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, strconv.ErrSyntax) {
			t.Errorf("got %v, want %s", err, want)
		}
		must(t, w.Close())
		if n := d.OpenSenders(); n != 0 || d.Misuse() != nil || len(d.Requests()) != 3 {
			t.Errorf("%d senders open, misuse: %v, requests %v", n, d.Misuse(), d.Requests())
		}
	})
}

func TestConvertValidates(t *testing.T) {
	d := batchingtest.New[int]()
	for _, test := range []struct {
		sink weir.Sink[string]
		want string
	}{
		{batching.Convert(batching.New(d.Open), strconv.Atoi), ""},
		{batching.Convert[string](batching.New(d.Open), nil), "a batching sink of string: there is no function that converts it to int"},
		{batching.Convert(batching.New(d.Open).InFlight(0), strconv.Atoi), "0 requests in flight"},
	} {
		err := test.sink.(weir.Validator).Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
		if w, openErr := test.sink.Open(t.Context(), weir.Subtask{}); (openErr == nil) != (test.want == "") {
			t.Errorf("Open: %v", openErr)
		} else if openErr == nil {
			must(t, w.Close())
		}
	}
}
