package codec

import (
	"encoding"
	"fmt"
	"reflect"
	"unsafe"

	"google.golang.org/protobuf/proto" //nolint:depguard // Messages are what users send here, and none of the project's.
)

// marshaler encodes values by their own methods.
type marshaler struct {
	typ reflect.Type
	by  methods
}

// methods says by which methods a type encodes itself.
type methods uint8

const (
	byAppender  methods = iota // AppendBinary and UnmarshalBinary
	byMarshaler                // MarshalBinary and UnmarshalBinary
	byGob                      // GobEncode and GobDecode
)

// gobEncoder and gobDecoder are those of encoding/gob, which is not linked for
// them: math/big has no other methods that keep all of a number.
type (
	gobEncoder interface{ GobEncode() ([]byte, error) }
	gobDecoder interface{ GobDecode(data []byte) error }
)

// marshalerOf returns how type t encodes itself, or nil if it does not, or if it
// has no need to.
func marshalerOf(t reflect.Type) *marshaler {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface || pointerFree(t) {
		return nil
	}
	ptr := reflect.PointerTo(t)
	has := func(method string, i reflect.Type) bool { return ptr.Implements(i) && !promoted(t, method) }
	if has("UnmarshalBinary", reflect.TypeFor[encoding.BinaryUnmarshaler]()) {
		if has("AppendBinary", reflect.TypeFor[encoding.BinaryAppender]()) {
			return &marshaler{t, byAppender}
		}
		if has("MarshalBinary", reflect.TypeFor[encoding.BinaryMarshaler]()) {
			return &marshaler{t, byMarshaler}
		}
	}
	if has("GobEncode", reflect.TypeFor[gobEncoder]()) && has("GobDecode", reflect.TypeFor[gobDecoder]()) {
		return &marshaler{t, byGob}
	}
	return nil
}

func (m *marshaler) append(dst []byte, at unsafe.Pointer) ([]byte, error) {
	v := reflect.NewAt(m.typ, at).Interface()
	var b []byte
	var err error
	name := "MarshalBinary"
	switch m.by {
	case byAppender:
		name = "AppendBinary"
		dst, err = v.(encoding.BinaryAppender).AppendBinary(dst)
	case byMarshaler:
		b, err = v.(encoding.BinaryMarshaler).MarshalBinary()
	case byGob:
		name = "GobEncode"
		b, err = v.(gobEncoder).GobEncode()
	}
	if err != nil {
		return dst, fmt.Errorf("%s: %w", name, err)
	}
	return append(dst, b...), nil
}

func (m *marshaler) decode(src []byte, at unsafe.Pointer) error {
	v := reflect.NewAt(m.typ, at)
	v.Elem().SetZero()
	if m.by == byGob {
		if err := v.Interface().(gobDecoder).GobDecode(src); err != nil {
			return fmt.Errorf("GobDecode: %w", err)
		}
		return nil
	}
	if err := v.Interface().(encoding.BinaryUnmarshaler).UnmarshalBinary(src); err != nil {
		return fmt.Errorf("UnmarshalBinary: %w", err)
	}
	return nil
}

// isMessage reports whether t is the struct of a protobuf message.
func isMessage(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(reflect.TypeFor[proto.Message]()) &&
		!promoted(t, "ProtoReflect") && registeredCodec(t) == nil && marshalerOf(t) == nil
}

// message encodes pointers to protobuf messages of a type, or nil: one byte for
// that, and the message, the same bytes each time. Required fields may be
// missing, as they may in memory.
type message struct{ typ reflect.Type }

// name is the full name of the message.
func (m message) name() string {
	return string(reflect.New(m.typ).Interface().(proto.Message).ProtoReflect().Descriptor().FullName())
}

func (m message) append(dst []byte, at unsafe.Pointer) ([]byte, error) {
	p := *(*unsafe.Pointer)(at)
	if p == nil {
		return append(dst, 0), nil
	}
	v := reflect.NewAt(m.typ, p).Interface().(proto.Message)
	return proto.MarshalOptions{Deterministic: true, AllowPartial: true}.MarshalAppend(append(dst, 1), v)
}

func (m message) decode(src []byte, at unsafe.Pointer) error {
	if len(src) == 0 || src[0] > 1 || src[0] == 0 && len(src) > 1 {
		return fmt.Errorf("% .8x for a pointer to a message", src)
	}
	if src[0] == 0 {
		*(*unsafe.Pointer)(at) = nil
		return nil
	}
	v := reflect.New(m.typ)
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(src[1:], v.Interface().(proto.Message)); err != nil {
		return err
	}
	*(*unsafe.Pointer)(at) = v.UnsafePointer()
	return nil
}
