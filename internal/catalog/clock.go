package catalog

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// A clock gives the time that leases go by, some while from now, as an
// expression for the database.
type clock func(fromNow time.Duration) clause.Expr

// databaseClock is PostgreSQL's own: gateways on different machines agree on it.
func databaseClock(fromNow time.Duration) clause.Expr {
	return gorm.Expr("timezone('UTC', clock_timestamp()) + make_interval(secs => ?)", fromNow.Seconds())
}

// machineClock serves SQLite, whose processes share a machine.
func machineClock(fromNow time.Duration) clause.Expr {
	return gorm.Expr("?", time.Now().UTC().Truncate(time.Microsecond).Add(fromNow))
}

// instant is how times rest in a row: in UTC, to the microsecond, NULL for the zero time.
type instant struct{}

var _ schema.SerializerInterface = instant{}

// Value implements gorm's schema.SerializerValuerInterface.
func (instant) Value(_ context.Context, _ *schema.Field, _ reflect.Value, value any) (any, error) {
	t, ok := value.(time.Time)
	if !ok {
		return nil, fmt.Errorf("instant: %T is not a time", value)
	}
	if t.IsZero() {
		return nil, nil
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// Scan implements gorm's schema.SerializerInterface.
func (instant) Scan(ctx context.Context, field *schema.Field, dst reflect.Value, value any) (err error) {
	var t time.Time
	switch v := value.(type) {
	case nil:
	case time.Time:
		t = v.UTC()
	case string: // reckoned by SQLite, where only columns have a type
		if t, err = time.Parse("2006-01-02 15:04:05.999999999-07:00", v); err != nil {
			return fmt.Errorf("instant: column %s: %w", field.DBName, err)
		}
	default:
		return fmt.Errorf("instant: column %s holds a %T", field.DBName, value)
	}
	field.ReflectValueOf(ctx, dst).Set(reflect.ValueOf(t))
	return nil
}
