package weir_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/memory"
)

// everything has a field of every kind that can be encoded.
type everything struct {
	ID int
	scalars
	*embeddedText
	Name     carrierName
	Texts    []string
	Fixed    [3]string
	Long     [20]bool
	Bytes    []byte
	Numbers  []float64
	Nested   [][]pairOf[string, *int64]
	ByName   map[string]string
	ByKey    map[routeOf[string]][]int32
	Self     *everything
	At       time.Time
	Times    []time.Time
	Took     time.Duration
	Address  netip.Addr
	Big      *big.Int
	Message  *structpb.Struct
	Currency currency
	Shape    figure
	Figures  []figure
	Empty    struct{}
}

type (
	scalars struct {
		Bool    bool
		Int8    int8
		Int16   int16
		Int32   int32
		Int64   int64
		Uint    uint
		Uint8   uint8
		Uint16  uint16
		Uint32  uint32
		Uint64  uint64
		Float32 float32
		Float64 float64
		Complex complex128
	}
	embeddedText     struct{ Text string }
	carrierName      string
	pairOf[A, B any] struct {
		First  A
		Second B
	}
	routeOf[P comparable] struct{ From, To P }

	// currency has a registered codec: its field is not exported.
	currency struct{ code string }
	// figure is an interface, whose values are circles or pointers to rectangles.
	figure    interface{ area() float64 }
	circle    struct{ Radius float64 }
	rectangle struct {
		Label string
		Sides [2]float64
	}
	uncounted struct{}
)

func (c circle) area() float64     { return 3 * c.Radius * c.Radius }
func (r *rectangle) area() float64 { return r.Sides[0] * r.Sides[1] }
func (uncounted) area() float64    { return 0 }

func registerCurrency() {
	weir.RegisterCodec(
		func(dst []byte, c currency) ([]byte, error) { return append(dst, c.code...), nil },
		func(src []byte) (currency, error) { return currency{string(src)}, nil })
}

func init() {
	registerCurrency()
	weir.RegisterType[circle]()
	weir.RegisterType[*rectangle]()
}

// everythingOf returns a record that is different for every i, some of it nil.
func everythingOf(i int) everything {
	text := strings.Repeat(string(rune('a'+i%26)), i%40)
	n := int64(i)
	e := everything{
		ID: i,
		scalars: scalars{
			i%2 == 0, int8(i), int16(-i), int32(i), -n, uint(i), uint8(i), uint16(i), uint32(i), uint64(i) << 40,
			float32(i) / 2, float64(i) / 3, complex(float64(i), -1),
		},
		Name:  carrierName(text),
		Fixed: [3]string{text, "", "fixed"},
		Long:  [20]bool{19: i%3 == 0},
		Took:  time.Duration(i),
		At:    time.Unix(n, n).UTC(),
	}
	if i%4 == 0 {
		return e
	}
	e.embeddedText = &embeddedText{text}
	e.Texts, e.Bytes, e.Numbers = []string{text, ""}, []byte(text), []float64{1, float64(i)}
	e.Nested = [][]pairOf[string, *int64]{nil, {}, {{text, &n}, {"", nil}}}
	e.ByName, e.ByKey = map[string]string{text: "x"}, map[routeOf[string]][]int32{{text, "to"}: {int32(i)}, {}: nil}
	self := everythingOf(4 * (i / 8))
	e.Self = &self
	e.Times = []time.Time{{}, time.Unix(-n, 5).In(time.Local)}
	e.Address = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	e.Big = new(big.Int).Lsh(big.NewInt(n), 100)
	e.Message = &structpb.Struct{Fields: map[string]*structpb.Value{text: structpb.NewNumberValue(float64(i))}}
	e.Currency = currency{text}
	e.Shape, e.Figures = circle{float64(i)}, []figure{nil, &rectangle{text, [2]float64{1, 2}}}
	return e
}

// equal compares records by what their types say of equality.
func (e everything) equal(o everything) bool {
	if (e.Self == nil) != (o.Self == nil) || e.Self != nil && !e.Self.equal(*o.Self) {
		return false
	}
	if !proto.Equal(e.Message, o.Message) || (e.Message == nil) != (o.Message == nil) {
		return false
	}
	if (e.Big == nil) != (o.Big == nil) || e.Big != nil && e.Big.Cmp(o.Big) != 0 {
		return false
	}
	e.Self, o.Self, e.Message, o.Message, e.Big, o.Big = nil, nil, nil, nil, nil, nil
	return reflect.DeepEqual(e, o)
}

// everythingJob sends records through a hash exchange, a table and a rebalance.
func everythingJob(values []everything, got *collect[everything]) func(*weir.Env) {
	return func(env *weir.Env) {
		weir.From(env, "values", dealt(values, 3)).
			KeyBy(func(e everything) pairOf[carrierName, routeOf[int]] {
				return pairOf[carrierName, routeOf[int]]{e.Name, routeOf[int]{e.ID, -e.ID}}
			}).
			Reduce(func(_, later everything) everything { return later }).ID("latest").
			Rebalance().Filter(func(everything) bool { return true }).
			To("sink", got)
	}
}

// TestEveryKindOfType sends every kind of type between two subtasks of one
// worker, and between two workers.
func TestEveryKindOfType(t *testing.T) {
	values := make([]everything, 300)
	for i := range values {
		values[i] = everythingOf(i)
	}
	check := func(t *testing.T, got *collect[everything]) {
		t.Helper()
		slices.SortFunc(got.rows, func(a, b everything) int { return cmp.Compare(a.ID, b.ID) })
		if len(got.rows) != len(values) {
			t.Fatalf("%d records came, %d were sent", len(got.rows), len(values))
		}
		for i, v := range got.rows {
			if !v.equal(values[i]) {
				t.Fatalf("record %d came as %+v, was %+v", i, v, values[i])
			}
		}
	}
	t.Run("embedded", func(t *testing.T) {
		var got collect[everything]
		if err := weir.Run(t.Context(), "everything", everythingJob(values, &got), weir.Setting("parallelism.default", "2")); err != nil {
			t.Fatal(err)
		}
		check(t, &got)
	})
	for _, segment := range []int{1024, 32 << 10} {
		t.Run(fmt.Sprintf("two workers, segments of %d", segment), func(t *testing.T) {
			e := newEngine(2, 2)
			e.settings.Network.SegmentSize = memory.Size(segment)
			var got collect[everything]
			metrics, err := e.run(t.Context(), everythingJob(values, &got))
			if err != nil {
				t.Fatal(err)
			}
			check(t, &got)
			if n := remote(metrics); n < uint64(len(values)/2) {
				t.Errorf("%d records came over TCP: the test says little", n)
			}
		})
	}
}

// TestUnsupportedTypes: what cannot be sent is a mistake that names the field.
func TestUnsupportedTypes(t *testing.T) {
	type inner struct {
		Call func()
		Wait []chan int
	}
	type record struct {
		Name   string
		Inner  map[string]*inner
		hidden []byte
		Open   fmt.Stringer
		Value  structpb.Value
	}
	_ = record{hidden: nil}
	g := weir.BuildGraph(func(env *weir.Env) {
		weir.From(env, "records", listOf[*record]()).To("sink", &collect[*record]{})
		weir.From(env, "keys", listOf[int]()).KeyBy(func(int) routeOf[pairOf[string, float64]] { return routeOf[pairOf[string, float64]]{} }).
			Reduce(func(a, _ int) int { return a }).To("sums", &collect[int]{})
	})
	mistakes := strings.Join(g.Layout().Plan.Mistakes, "\n")
	for _, want := range []string{
		"record.Inner[value].Call (func())", "record.Inner[value].Wait[] (chan int)", "record.hidden ([]uint8): it is not exported",
		"record.Open (fmt.Stringer)", "record.Value (structpb.Value): a protobuf message must not be copied",
		"field From.Second (float64)", "field To.Second (float64)",
	} {
		if !strings.Contains(mistakes, want) {
			t.Errorf("the mistakes do not have %q:\n%s", want, mistakes)
		}
	}
}

// TestUnregisteredValue: a value that no codec is there for fails the job with
// its path.
func TestUnregisteredValue(t *testing.T) {
	type holder struct{ Held map[string]figure }
	var got collect[holder]
	_, err := newEngine(2, 2).run(t.Context(), func(env *weir.Env) {
		weir.From(env, "values", listOf(holder{map[string]figure{"it": uncounted{}}})).
			KeyBy(func(h holder) int { return len(h.Held) }).Reduce(func(a, _ holder) holder { return a }).
			To("sink", &got)
	})
	if err == nil || !strings.Contains(err.Error(), "holder.Held[value] (weir_test.figure): its value is a weir_test.uncounted, which is not registered") {
		t.Errorf("the job ends with %v", err)
	}
}

func TestRegistering(t *testing.T) {
	failure := func(f func()) (err error) {
		defer func() { err, _ = recover().(error) }()
		f()
		return errors.New("no panic")
	}
	for want, err := range map[string]error{
		"weir.RegisterCodec: codec of weir_test.circle: a function is nil":                       failure(func() { weir.RegisterCodec[circle](nil, nil) }),
		"weir.RegisterCodec: codec of weir_test.currency: one is registered already":             failure(registerCurrency),
		"weir.RegisterType: type weir_test.figure: it is an interface; register the types that ": failure(weir.RegisterType[figure]),
	} {
		if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	weir.RegisterType[circle]() // again, which changes nothing
}
