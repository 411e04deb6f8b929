package file

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
)

type embedded struct {
	Inner string `csv:"inner"`
}

type everything struct {
	S        string
	B        bool    `csv:"b"`
	I        int     `csv:"i"`
	I8       int8    `csv:"i8"`
	I16      int16   `csv:"i16"`
	I32      int32   `csv:"i32"`
	I64      int64   `csv:"i64"`
	U        uint    `csv:"u"`
	U8       uint8   `csv:"u8"`
	U16      uint16  `csv:"u16"`
	U32      uint32  `csv:"u32"`
	U64      uint64  `csv:"u64"`
	F32      float32 `csv:"f32"`
	F64      float64 `csv:"f64"`
	At       time.Time
	Day      time.Time     `csv:"day,layout=Jan 2, 2006"`
	Took     time.Duration `csv:"took"`
	Addr     netip.Addr    `csv:"addr"`
	P        *int64        `csv:"p"`
	PText    *netip.Addr   `csv:"paddr"`
	PTime    *time.Time    `csv:"ptime,layout=2006"`
	Opt      int           `csv:"opt,optional"`
	OptTime  time.Time     `csv:",optional,layout=15:04"`
	Again    string        `csv:"i"`
	Ignored  []byte        `csv:"-"`
	internal int
	embedded
}

const everyHeader = "s,b,i,i8,i16,i32,i64,u,u8,u16,u32,u64,f32,f64,AT,day,took,addr,p,paddr,ptime,opt,opt_time,inner,unused\n"

// TestEveryType reads a record with each type of field, and one in which all is
// empty that may be, into memory that held another record.
func TestEveryType(t *testing.T) {
	path := write(t, "every.csv", everyHeader+
		"a,true,-1,-128,-32768,-2147483648,-9223372036854775808,1,255,65535,4294967295,18446744073709551615,"+
		"1.5,-1e300,2013-01-01T10:17:00.5+02:00,\"Feb 3, 2001\",1h30m,10.0.0.1,7,::1,1999,5,12:34,in,zzz\n"+
		",F,+5,127,32767,2147483647,9223372036854775807,0,0,0,0,0,NaN,0x1p-2,2013-01-01T10:17:00Z,\"Feb 3, 2001\",-1ns,,,,,,,,\n")
	source := CSV[everything](path)
	r, err := source.Open(t.Context(), weir.Split{ID: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()

	one := make([]everything, 1)
	if n, err := r.Read(one); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	seven, addr, year := int64(7), netip.MustParseAddr("::1"), time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	want := everything{
		S: "a", B: true, I: -1, I8: -128, I16: -32768, I32: math.MinInt32, I64: math.MinInt64,
		U: 1, U8: 255, U16: 65535, U32: math.MaxUint32, U64: math.MaxUint64, F32: 1.5, F64: -1e300,
		Day: time.Date(2001, 2, 3, 0, 0, 0, 0, time.UTC), Took: 90 * time.Minute,
		Addr: netip.MustParseAddr("10.0.0.1"), P: &seven, PText: &addr, PTime: &year,
		Opt: 5, OptTime: time.Date(0, 1, 1, 12, 34, 0, 0, time.UTC), Again: "-1", embedded: embedded{"in"},
	}
	if at := time.Date(2013, 1, 1, 8, 17, 0, 5e8, time.UTC); !one[0].At.Equal(at) {
		t.Errorf("time %v, want %v", one[0].At, at)
	}
	one[0].At = time.Time{}
	if !reflect.DeepEqual(one[0], want) {
		t.Errorf("got\n%+v, want\n%+v", one[0], want)
	}

	one[0].Ignored, one[0].internal = []byte("left over"), 1
	if n, err := r.Read(one); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if !math.IsNaN(float64(one[0].F32)) {
		t.Errorf("F32 is %v, want NaN", one[0].F32)
	}
	one[0].F32 = 0
	want = everything{
		I: 5, I8: 127, I16: 32767, I32: math.MaxInt32, I64: math.MaxInt64, F64: 0.25,
		At: time.Date(2013, 1, 1, 10, 17, 0, 0, time.UTC), Day: time.Date(2001, 2, 3, 0, 0, 0, 0, time.UTC), Took: -1, Again: "+5",
	}
	if !reflect.DeepEqual(one[0], want) {
		t.Errorf("got\n%+v, want\n%+v", one[0], want)
	}
	if n, err := r.Read(one); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the last record: %d, %v", n, err)
	}
}

// TestPointersAreApart reads so many pointers that they come from several blocks.
func TestPointersAreApart(t *testing.T) {
	type record struct {
		N *int64
		S *string
	}
	content := strings.Builder{}
	content.WriteString("n,s\n")
	const records = 1000
	for i := range records {
		fmt.Fprintf(&content, "%d,s%d\n", i, i)
	}
	content.WriteString(",\n")
	path := write(t, "a.csv", content.String())
	got, err := readAll(t, CSV[record](path), path, nil, 7)
	if err != nil || len(got) != records+1 {
		t.Fatalf("%d records, error %v", len(got), err)
	}
	for i, r := range got[:records] {
		if *r.N != int64(i) || *r.S != fmt.Sprintf("s%d", i) {
			t.Fatalf("record %d points to %d and %q", i, *r.N, *r.S)
		}
	}
	if last := got[records]; last.N != nil || last.S != nil {
		t.Errorf("empty values are %v and %v, want nil", last.N, last.S)
	}
}

// TestNumbersAreStrict refuses what is not a decimal number, or does not fit.
func TestNumbersAreStrict(t *testing.T) {
	type record struct {
		I int8          `csv:"i,optional"`
		U uint8         `csv:"u,optional"`
		W uint64        `csv:"w,optional"`
		F float32       `csv:"f,optional"`
		B bool          `csv:"b,optional"`
		D time.Duration `csv:"d,optional"`
	}
	for _, row := range []string{
		"128,,,,,", "-129,,,,,", "0x1,,,,,", "1_0,,,,,", " 1,,,,,", "1 ,,,,,", "1.0,,,,,", "-,,,,,", "--1,,,,,", "９,,,,,",
		",256,,,,", ",-1,,,,", ",-0,,,,", ",+1,,,,", ",,18446744073709551616,,,", ",,1e3,,,",
		",,,1e39,,", ",,,1.2.3,,", ",,,abc,,", ",,,,yes,", ",,,,2,", ",,,,,5", ",,,,,1 hour",
	} {
		path := write(t, "a.csv", "i,u,w,f,b,d\n,,,,,\n"+row+"\n")
		got, err := readAll(t, CSV[record](path), path, nil, 10)
		if len(got) != 1 || got[0] != (record{}) || err == nil || !strings.Contains(err.Error(), path+":3: column ") {
			t.Errorf("%q: %v, error %v", row, got, err)
		}
	}
}

// TestAllocations holds reading to strings, of which hundreds share a block.
func TestAllocations(t *testing.T) {
	const records = 512
	content := everyHeader + strings.Repeat("airport,true,-1,2,3,4,5,6,7,8,9,10,1.5,2.5,2013-01-01T10:17:00Z,"+
		"\"Feb 3, 2001\",1h30m,,7,,1999,5,12:34,in,zzz\n", 100*records) // UnmarshalText may allocate
	path := write(t, "a.csv", content)
	r, err := CSV[everything](path).Open(t.Context(), weir.Split{ID: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	values := make([]everything, records)
	perBatch := testing.AllocsPerRun(50, func() {
		if n, err := r.Read(values); n != records || err != nil {
			t.Fatal(n, err)
		}
	})
	// A record has 11 bytes of strings, and pointers to values of 8 and 24.
	if most := float64(records) * (11.0/stringBlock + 2*32.0/pointerBlock) * 1.3; perBatch > most {
		t.Errorf("%v allocations for %d records, at most %.0f expected", perBatch, records, most)
	}
}
