-- Randomness without state: every draw is a hash of (seed, stream, id), so that a line gets the
-- same values whatever the number of threads, the chunk it is made in, or the order of evaluation.
-- The outer hash mixes again: two streams over the same ids would otherwise differ by one xor only.

-- uniform in [0, 1)
create or replace macro draw(stream, id) as
    (hash(xor(id::ubigint, hash(getvariable('seed')::bigint, stream))) >> 11)
    / 9007199254740992.0::double;

-- standard normal (Box-Muller)
create or replace macro normal_draw(stream, id) as
    sqrt(-2 * ln(1 - draw(stream, id))) * cos(2 * pi() * draw(stream || ', angle', id));

-- whole number in 0 .. n - 1
create or replace macro pick(stream, id, n) as floor(draw(stream, id) * n)::bigint;

create or replace macro logistic(x) as 1 / (1 + exp(-(x)));

-- timestamp a (fractional) number of days later, to the second
create or replace macro days_later(moment, day_count) as
    moment + to_seconds(round((day_count) * 86400)::bigint);

-- how often a customer buys, as a sortable key that ends in the customer's number
create or replace macro keenness(customer) as draw('keenness', customer);
create or replace macro keenness_key(customer) as
    floor(keenness(customer) * 4294967296)::ubigint * 4294967296::ubigint + (customer)::ubigint;

-- a number of at least so many digits
create or replace macro padded(number, digits) as
    substr((power(10, digits)::bigint + number)::varchar, 2);

-- text that must stay inert wherever it is shown
create or replace macro hostile_text(id) as [
    '=cmd|'' /C calc''!A0',
    '</script><script>alert(1)</script>',
    '''; drop table order_lines; --',
    'naïve café 🧦👠',
    'a "quoted", comma; and tab	name',
    '{{ 7 * 7 }} ${HOME} %s',
    '‮kcab ot tnorf',
    repeat('long ', 400)
][1 + pick('hostile text', id, 8)];
