package codec

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/zeebo/xxh3"
)

// registry has what users register about their types.
var registry = struct {
	sync.RWMutex
	codecs map[reflect.Type]own
	types  map[typeID]reflect.Type
}{codecs: map[reflect.Type]own{}, types: map[typeID]reflect.Type{}}

// Register sets how values of type T are encoded, alone and as parts of others,
// by codecs that are compiled afterwards. add appends an encoding to dst and
// returns it; decode makes the value again of exactly those bytes, which it may
// change and must not keep. Both are called concurrently. It returns an error
// if T has a codec already.
func Register[T any](add func(dst []byte, v T) ([]byte, error), decode func(src []byte) (T, error)) error {
	t := reflect.TypeFor[T]()
	if add == nil || decode == nil {
		return fmt.Errorf("codec of %v: a function is nil", t)
	}
	registry.Lock()
	defer registry.Unlock()
	if registry.codecs[t] != nil {
		return fmt.Errorf("codec of %v: one is registered already", t)
	}
	registry.codecs[t] = registered[T]{add, decode}
	return nil
}

// registeredCodec returns what was registered for t, or nil.
func registeredCodec(t reflect.Type) own {
	registry.RLock()
	defer registry.RUnlock()
	return registry.codecs[t]
}

// registered encodes by a user's functions.
type registered[T any] struct {
	add  func([]byte, T) ([]byte, error)
	make func([]byte) (T, error)
}

func (r registered[T]) append(dst []byte, at unsafe.Pointer) ([]byte, error) {
	return r.add(dst, *(*T)(at))
}

func (r registered[T]) decode(src []byte, at unsafe.Pointer) error {
	v, err := r.make(src)
	*(*T)(at) = v
	return err
}

// typeID stands for a type in an encoded interface.
type typeID uint32

// RegisterType makes T a type that values of interfaces may have, for codecs
// that are compiled afterwards. Registering it again changes nothing. It returns
// an error if T is an interface, or if its name cannot be told from another
// type's.
func RegisterType[T any]() error {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Interface {
		return fmt.Errorf("type %v: it is an interface; register the types that its values have", t)
	}
	name := fullName(t)
	id := typeID(xxh3.HashString(name))
	registry.Lock()
	defer registry.Unlock()
	if was, ok := registry.types[id]; ok && was != t {
		return fmt.Errorf("type %s: it has the id %#x, as %s has; rename one of them", name, id, fullName(was))
	}
	registry.types[id] = t
	return nil
}

// fullName is a name that no other type of the executable has, except that types
// declared in functions may share one.
func fullName(t reflect.Type) string {
	switch {
	case t.Name() != "" && t.PkgPath() != "":
		return t.PkgPath() + "." + t.Name()
	case t.Kind() == reflect.Pointer:
		return "*" + fullName(t.Elem())
	}
	return t.String()
}

// implementors returns the registered types that implement t, by their ids.
func implementors(t reflect.Type) map[typeID]reflect.Type {
	registry.RLock()
	defer registry.RUnlock()
	types := map[typeID]reflect.Type{}
	for id, typ := range registry.types {
		if typ.Implements(t) {
			types[id] = typ
		}
	}
	return types
}
