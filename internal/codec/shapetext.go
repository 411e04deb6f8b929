package codec

import (
	"fmt"
	"slices"
	"strconv"
)

// How long the text of a shape becomes, in bytes, and that of a part of one.
const (
	maxShapeText = 2000
	maxPartText  = 200
)

// String returns the shape as Go writes types, such as
// struct{Origin string; Delays []int64}. What encodes itself is a name; an
// interface has the types that its values may have. A type that contains itself
// is T1=struct{Next *T1}. What would be very long ends with an ellipsis.
func (s Shape) String() string {
	n, err := parseShape(s)
	if err != nil {
		return fmt.Sprintf("(no shape: %v)", err)
	}
	return n.text(maxShapeText)
}

// text returns the text of a shape, cut to a limit in bytes.
func (n *node) text(limit int) string {
	t := &shapeText{limit: limit, open: map[*node]bool{}, labels: map[*node]string{}}
	t.node(n)
	if t.full() {
		return string(t.dst[:limit]) + "..."
	}
	return string(t.dst)
}

type shapeText struct {
	dst    []byte
	limit  int
	open   map[*node]bool   // what is being written
	labels map[*node]string // of what contains itself
}

func (t *shapeText) full() bool { return len(t.dst) > t.limit }

func (t *shapeText) node(n *node) {
	switch {
	case t.full():
		return
	case n.kind.basic():
		t.add(basics[n.kind].name)
		return
	case t.open[n] && !n.leads():
		if t.labels[n] == "" {
			t.labels[n] = "T" + strconv.Itoa(len(t.labels)+1)
		}
		t.add(t.labels[n])
		return
	}
	start, was := len(t.dst), t.open[n]
	t.open[n] = true
	t.parts(n)
	t.open[n] = was
	if label := t.labels[n]; label != "" {
		t.dst = slices.Insert(t.dst, start, []byte(label+"=")...)
	}
}

// leads reports whether pointers, slices and maps lead to a struct or interface,
// which gets the label in their place.
func (n *node) leads() bool {
	for range 10 {
		switch n.kind {
		case kindArray, kindSlice, kindMap, kindPointer:
			n = n.elem
		default:
			return false
		}
		if n.kind == kindStruct || n.kind == kindInterface {
			return true
		}
	}
	return false
}

func (t *shapeText) parts(n *node) {
	switch n.kind {
	case kindStruct:
		t.fields("struct{", n.fields, "; ")
	case kindInterface:
		t.fields("interface{", n.fields, " | ")
	case kindArray:
		t.add("[" + strconv.Itoa(n.n) + "]")
		t.node(n.elem)
	case kindSlice:
		t.add("[]")
		t.node(n.elem)
	case kindMap:
		t.add("map[")
		t.node(n.key)
		t.add("]")
		t.node(n.elem)
	case kindPointer:
		t.add("*")
		t.node(n.elem)
	case kindMessage:
		t.add("*" + n.name)
	case kindCodec:
		t.add(n.name + " by its codec")
	case kindGob:
		t.add(n.name + " by GobDecode")
	case kindBinary:
		t.add(n.name + " by UnmarshalBinary")
	default: // basic ones were before
	}
}

func (t *shapeText) fields(before string, fields []nodeField, between string) {
	t.add(before)
	for i, f := range fields {
		if i > 0 {
			t.add(between)
		}
		t.add(f.name + " ")
		t.node(f.node)
	}
	t.add("}")
}

func (t *shapeText) add(s string) {
	if !t.full() {
		t.dst = append(t.dst, s...)
	}
}
