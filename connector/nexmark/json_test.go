package nexmark_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/weirstream/weir/connector/nexmark"
)

// TestJSON reads lines back, as package encoding/json does it, and has it write
// them (E4).
func TestJSON(t *testing.T) {
	source := nexmark.Events(-1).Seed(5)
	for seq := range int64(1000) {
		want := source.Event(seq)
		line := want.AppendJSON([]byte("before:"))[len("before:"):]
		var got nexmark.Event
		if err := json.Unmarshal(line, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s is read as %+v, error %v", line, got, err)
		}
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(&want); err != nil || b.String() != string(line)+"\n" {
			t.Fatalf("an encoder writes %s, error %v, want %s", b.Bytes(), err, line)
		}
	}
}

// TestJSONOfChangedEvents writes what no source makes.
func TestJSONOfChangedEvents(t *testing.T) {
	e := nexmark.Events(-1).Event(4)
	for value, want := range map[string]string{
		"":             `""`,
		"a\"b":         `"a\"b"`,
		`a\b`:          `"a\\b"`,
		"a\nb":         `"a\nb"`,
		"<&>":          `"<&>"`,
		"Zürich":       `"Zürich"`,
		"ü<&>":         `"ü<&>"`,
		"\xff":         "\"\ufffd\"",
		"~\x7f":        "\"~\x7f\"",
		"line\u2028s ": `"line\u2028s "`,
	} {
		e.Bid.Channel = value
		line := e.AppendJSON(nil)
		if !strings.Contains(string(line), `"channel":`+want+`,"url":"https`) {
			t.Errorf("%q is written in %s, want %s", value, line, want)
		}
		var again nexmark.Event
		if err := json.Unmarshal(line, &again); err != nil || again.Bid.Channel != strings.ToValidUTF8(value, "\ufffd") {
			t.Errorf("%s is read as %q, error %v", line, again.Bid.Channel, err)
		}
	}
	for name, e := range map[string]nexmark.Event{
		"zero":           {},
		"without person": {Kind: nexmark.KindPerson},
		"no auction":     {Kind: nexmark.KindAuction},
		"of no kind":     {Kind: 77, Seq: 1},
	} {
		if line := e.AppendJSON(nil); string(line) != "null" {
			t.Errorf("an event %s is written as %s", name, line)
		}
	}
}

func TestMalformedJSON(t *testing.T) {
	for data, want := range map[string]string{
		`{"seq":1}`:                        `its type is ""; it is person, auction or bid`,
		`{"type":"seller","seq":1}`:        `its type is "seller"`,
		`{"type":5}`:                       `a Nexmark event: `,
		`{"type":"bid","price":"much"}`:    `a Nexmark bid: `,
		`{"type":"auction","expires":1.5}`: `a Nexmark auction: `,
		`{"type":"person","name":[]}`:      `a Nexmark person: `,
		`[]`:                               `a Nexmark event: `,
	} {
		before := nexmark.Events(-1).Event(4)
		e := before
		if err := json.Unmarshal([]byte(data), &e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", data, err, want)
		}
		if e != before {
			t.Errorf("%s changed the event to %+v", data, e)
		}
	}
	e := nexmark.Events(-1).Event(4)
	if err := json.Unmarshal([]byte("null"), &e); err != nil || e.Seq != 4 {
		t.Errorf("null: %v, %+v", err, e)
	}
}

// FuzzUnmarshalJSON holds that what was read is written and read as the same.
func FuzzUnmarshalJSON(f *testing.F) {
	for seq := range int64(6) { // a person, three auctions, two bids
		f.Add(nexmark.Events(-1).Event(seq).AppendJSON(nil))
	}
	f.Add([]byte("null"))
	f.Add([]byte(`{"type":"bid","Channel":"\ud800 <\u0000>","seq":-1,"more":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e, again nexmark.Event
		if e.UnmarshalJSON(data) != nil {
			return
		}
		line := e.AppendJSON(nil)
		if err := json.Unmarshal(line, &again); err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%s is %+v\nwritten as %s\nand read as %+v, error %v", data, e, line, again, err)
		}
	})
}
