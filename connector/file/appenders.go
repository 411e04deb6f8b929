package file

import (
	"encoding"
	"errors"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"
)

// appender appends the value of the field at src as a column holds it: the
// reverse of a setter.
type appender func(dst []byte, src unsafe.Pointer) ([]byte, error)

var (
	marshalerType = reflect.TypeFor[encoding.TextMarshaler]()
	appendingType = reflect.TypeFor[encoding.TextAppender]()
)

// appenderFor compiles the appender of a type, or returns nil where there is none.
func appenderFor(t reflect.Type, layout string) appender {
	if t.Kind() != reflect.Pointer {
		return leafAppender(t, layout)
	}
	elem := leafAppender(t.Elem(), layout)
	if elem == nil {
		return nil
	}
	return func(dst []byte, src unsafe.Pointer) ([]byte, error) {
		if p := *(*unsafe.Pointer)(src); p != nil {
			return elem(dst, p)
		}
		return dst, nil
	}
}

func leafAppender(t reflect.Type, layout string) appender {
	switch {
	case t == timeType:
		return timeAppender(layout)
	case t == durationType:
		return func(dst []byte, src unsafe.Pointer) ([]byte, error) {
			return append(dst, (*(*time.Duration)(src)).String()...), nil
		}
	case reflect.PointerTo(t).Implements(textType):
		return textAppender(t)
	}
	switch t.Kind() {
	case reflect.String:
		return appendString
	case reflect.Bool:
		return func(dst []byte, src unsafe.Pointer) ([]byte, error) {
			return strconv.AppendBool(dst, *(*bool)(src)), nil
		}
	case reflect.Int:
		return intAppender[int]()
	case reflect.Int8:
		return intAppender[int8]()
	case reflect.Int16:
		return intAppender[int16]()
	case reflect.Int32:
		return intAppender[int32]()
	case reflect.Int64:
		return intAppender[int64]()
	case reflect.Uint:
		return uintAppender[uint]()
	case reflect.Uint8:
		return uintAppender[uint8]()
	case reflect.Uint16:
		return uintAppender[uint16]()
	case reflect.Uint32:
		return uintAppender[uint32]()
	case reflect.Uint64:
		return uintAppender[uint64]()
	case reflect.Float32:
		return floatAppender[float32]()
	case reflect.Float64:
		return floatAppender[float64]()
	default:
		return nil
	}
}

func appendString(dst []byte, src unsafe.Pointer) ([]byte, error) {
	s := *(*string)(src)
	if !utf8.ValidString(s) {
		return dst, errUTF8
	}
	return append(dst, s...), nil
}

func intAppender[I int | int8 | int16 | int32 | int64]() appender {
	return func(dst []byte, src unsafe.Pointer) ([]byte, error) {
		return strconv.AppendInt(dst, int64(*(*I)(src)), 10), nil
	}
}

func uintAppender[U uint | uint8 | uint16 | uint32 | uint64]() appender {
	return func(dst []byte, src unsafe.Pointer) ([]byte, error) {
		return strconv.AppendUint(dst, uint64(*(*U)(src)), 10), nil
	}
}

func floatAppender[F float32 | float64]() appender {
	bits := int(unsafe.Sizeof(F(0))) * 8
	return func(dst []byte, src unsafe.Pointer) ([]byte, error) {
		return strconv.AppendFloat(dst, float64(*(*F)(src)), 'g', -1, bits), nil
	}
}

// timeAppender refuses times that the default layout cannot express: years that
// have not four digits.
func timeAppender(layout string) appender {
	return func(dst []byte, src unsafe.Pointer) ([]byte, error) {
		t := (*time.Time)(src)
		if layout != "" {
			return t.AppendFormat(dst, layout), nil
		}
		return t.AppendText(dst)
	}
}

// textAppender uses the type's own methods. It was read with UnmarshalText.
func textAppender(t reflect.Type) appender {
	pointer := reflect.PointerTo(t)
	switch {
	case pointer.Implements(appendingType):
		return func(dst []byte, src unsafe.Pointer) ([]byte, error) {
			return checked(reflect.NewAt(t, src).Interface().(encoding.TextAppender).AppendText(dst))
		}
	case pointer.Implements(marshalerType):
		return func(dst []byte, src unsafe.Pointer) ([]byte, error) {
			text, err := reflect.NewAt(t, src).Interface().(encoding.TextMarshaler).MarshalText()
			return checked(append(dst, text...), err)
		}
	}
	return nil
}

func checked(text []byte, err error) ([]byte, error) {
	if err == nil && !utf8.Valid(text) {
		err = errors.New("its text is not valid UTF-8")
	}
	return text, err
}
