package codec

import (
	"fmt"
	"math"
)

// Limits of a shape.
const (
	maxShape      = 1 << 18 // bytes
	maxShapeDepth = 500     // of types in types
)

var errDeepShape = fmt.Errorf("%w: types are nested deeper than %d", ErrCorrupt, maxShapeDepth)

// parseShape reads a shape. Only what appendShape writes is accepted.
func parseShape(src []byte) (*node, error) {
	if len(src) > maxShape {
		return nil, fmt.Errorf("%w: a shape of %d bytes: the longest has %d", ErrCorrupt, len(src), maxShape)
	}
	if len(src) == 0 {
		return nil, fmt.Errorf("%w: a shape without a byte", ErrCorrupt)
	}
	if src[0] != shapeVersion {
		return nil, fmt.Errorf("%w: a shape of version %d: this program reads version %d; if it was written by a newer one, use that or a newer one", ErrCorrupt, src[0], shapeVersion)
	}
	p := &shapeParser{src: string(src), pos: 1}
	n, err := p.node(0)
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.src) {
		return nil, fmt.Errorf("%w: %d bytes after the end of a shape", ErrCorrupt, len(p.src)-p.pos)
	}
	if err := settle(p.nodes); err != nil {
		return nil, err
	}
	return n, nil
}

type shapeParser struct {
	src   string
	pos   int
	nodes []*node
}

func (p *shapeParser) node(depth int) (*node, error) {
	if p.pos >= len(p.src) {
		return nil, short(p.src, p.pos, 1)
	}
	at := p.pos
	kind := shapeKind(p.src[at])
	p.pos++
	switch {
	case kind.basic():
		return basicNodes[kind], nil
	case depth > maxShapeDepth:
		return nil, errDeepShape
	case kind == kindReference:
		number, err := p.number()
		if err != nil {
			return nil, err
		}
		if number >= len(p.nodes) {
			return nil, fmt.Errorf("%w: at byte %d: a reference to type %d of %d", ErrCorrupt, at, number, len(p.nodes))
		}
		return p.nodes[number], nil
	}
	n := &node{kind: kind}
	p.nodes = append(p.nodes, n)
	var err error
	switch {
	case kind == kindStruct || kind == kindInterface:
		err = p.fields(n, depth)
	case kind == kindMap:
		if n.key, err = p.node(depth + 1); err == nil {
			n.elem, err = p.node(depth + 1)
		}
	case kind == kindArray:
		if n.n, err = p.number(); err == nil {
			n.elem, err = p.node(depth + 1)
		}
	case kind == kindSlice || kind == kindPointer:
		n.elem, err = p.node(depth + 1)
	case kind.own():
		n.name, err = p.name()
	default:
		err = fmt.Errorf("%w: at byte %d: a type of the unknown kind %d", ErrCorrupt, at, kind)
	}
	return n, err
}

// fields reads those of a struct, or the types of an interface's values, which are
// in order.
func (p *shapeParser) fields(n *node, depth int) error {
	at := p.pos
	count, err := p.number()
	if err != nil {
		return err
	}
	if count > (len(p.src)-p.pos)/2 { // a name's length and a kind each
		return fmt.Errorf("%w: at byte %d of %d: %d fields", ErrCorrupt, at, len(p.src), count)
	}
	names := map[string]bool{} // No room is made: structs in each other might all claim many fields.
	before := ""
	for i := range count {
		at := p.pos
		name, err := p.name()
		if err != nil {
			return err
		}
		if names[name] || n.kind == kindInterface && i > 0 && name < before {
			return fmt.Errorf("%w: at byte %d: the name %.100q twice, or out of order", ErrCorrupt, at, name)
		}
		names[name], before = true, name
		sub, err := p.node(depth + 1)
		if err != nil {
			return err
		}
		n.fields = append(n.fields, nodeField{name, sub})
	}
	return nil
}

// number reads a length.
func (p *shapeParser) number() (int, error) {
	v, next, err := decodeUint(p.src, p.pos)
	if err != nil {
		return 0, err
	}
	if next-p.pos > 1 && p.src[next-1] == 0 || v > math.MaxInt {
		return 0, fmt.Errorf("%w: at byte %d: no length", ErrCorrupt, p.pos)
	}
	p.pos = next
	return int(v), nil
}

func (p *shapeParser) name() (string, error) {
	n, err := p.number()
	if err != nil {
		return "", err
	}
	if n > len(p.src)-p.pos {
		return "", short(p.src, p.pos, uint64(n))
	}
	name := p.src[p.pos : p.pos+n]
	p.pos += n
	return name, nil
}
