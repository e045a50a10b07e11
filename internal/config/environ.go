package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Environ is the settings as NAME=value, for a child process: secrets included,
// never to be printed. Those named, by their flags, are left out.
func (c *Config) Environ(without ...string) []string {
	var env []string
	skip := map[string]bool{}
	for _, name := range without {
		skip[name] = true
	}
	value := reflect.ValueOf(*c)
	for field := range value.Type().Fields() {
		if !skip[field.Tag.Get("name")] {
			env = append(env, field.Tag.Get("env")+"="+plain(value.FieldByIndex(field.Index)))
		}
	}
	return env
}

func plain(v reflect.Value) string {
	if list, ok := v.Interface().(Addresses); ok {
		return strings.Join(list.Strings(), ",")
	}
	if v.Kind() == reflect.String {
		return v.String() // the text itself, which a Secret's own String would hide
	}
	return fmt.Sprint(v.Interface())
}
