{#-
  Everything that DuckDB and Spark say differently, in one file. Each macro takes SQL expressions
  and returns one; the default is DuckDB's form.
-#}

{#- Text without surrounding blanks; empty becomes NULL. -#}
{% macro clean_text(column) -%}
    nullif(trim({{ column }}), '')
{%- endmacro %}

{#- The macros below read cleaned text: an expression that clean_text made. -#}

{#- NULL where the text is no ISO date or timestamp; it begins with a digit, so `infinity`, which
    DuckDB would take, is none, and nor is a year BC. A time with an offset (or Z) behind the seconds
    is converted to UTC, one without is kept as written. -#}
{% macro parse_timestamp(text) -%}
    {{ return(adapter.dispatch('parse_timestamp', 'retour')(text)) }}
{%- endmacro %}
{% macro default__parse_timestamp(text) -%}
    case
        when {{ text }} < '0' or {{ text }} >= ':' or {{ text }} like '%BC%' then null
        when
            length({{ text }}) > 19 and (
                {{ text }} like '%Z'
                or instr(substr({{ text }}, 20), '+') > 0
                or instr(substr({{ text }}, 20), '-') > 0
            )
            then timezone('UTC', try_cast({{ text }} as timestamp with time zone))
        else try_cast({{ text }} as timestamp)
    end
{%- endmacro %}
{% macro spark__parse_timestamp(text) -%}
    try_cast({{ text }} as timestamp)
{%- endmacro %}

{#- NULL where the text does not fit month/day/year hour:minute. -#}
{% macro parse_us_timestamp(text) -%}
    {{ return(adapter.dispatch('parse_us_timestamp', 'retour')(text)) }}
{%- endmacro %}
{% macro default__parse_us_timestamp(text) -%}
    try_strptime({{ text }}, '%m/%d/%Y %H:%M')
{%- endmacro %}
{% macro spark__parse_us_timestamp(text) -%}
    try_to_timestamp({{ text }}, 'M/d/yyyy H:mm')
{%- endmacro %}

{#- NULL where the text is no number, or one too large for money. Four decimals. -#}
{% macro parse_decimal(text) -%}
    case when instr({{ text }}, '_') = 0 then try_cast({{ text }} as decimal(18, 4)) end
{%- endmacro %}

{#- Quantity times price, rounded to four decimals; NULL where it is 100 trillion or more. A price
    with more decimals than four (floats, prices per gram) is read again with ten, so that it is
    multiplied before it is rounded; that is ten times slower, so only where needed. -#}
{% macro line_value(quantity, price, price_text) -%}
    case
        when
            instr({{ price_text }}, '.') between 1 and length({{ price_text }}) - 5
            or instr(lower({{ price_text }}), 'e') > 0
            then {{ money(quantity ~ ' * try_cast(' ~ price_text ~ ' as decimal(22, 10))') }}
        else try_cast({{ quantity }} * {{ price }} as decimal(18, 4))
    end
{%- endmacro %}

{#- NULL where the text is no whole number below two billion ('2' and '2.0' are, '1.99999' is not). -#}
{% macro parse_whole_number(text) -%}
    case
        when instr({{ text }}, '_') > 0 then null
        when instr({{ text }}, '.') = 0 then cast(try_cast({{ text }} as int) as bigint)
        when
            try_cast({{ text }} as decimal(22, 10))
            = floor(try_cast({{ text }} as decimal(22, 10)))
            then cast(try_cast(try_cast({{ text }} as decimal(22, 10)) as int) as bigint)
    end
{%- endmacro %}

{#- Money, rounded to four decimals; NULL where it is 100 trillion or more. -#}
{% macro money(amount) -%}
    try_cast(round({{ amount }}, 4) as decimal(18, 4))
{%- endmacro %}

{#- Whole days from the first date or timestamp to the second, counted in calendar days. -#}
{% macro days_between(earlier, later) -%}
    {{ return(adapter.dispatch('days_between', 'retour')(earlier, later)) }}
{%- endmacro %}
{% macro default__days_between(earlier, later) -%}
    date_diff('day', cast({{ earlier }} as date), cast({{ later }} as date))
{%- endmacro %}
{% macro spark__days_between(earlier, later) -%}
    cast(datediff(cast({{ later }} as date), cast({{ earlier }} as date)) as bigint)
{%- endmacro %}

{#- Calendar months since year 0: differences of it count months. -#}
{% macro month_index(date_column) -%}
    (extract(year from {{ date_column }}) * 12 + extract(month from {{ date_column }}))
{%- endmacro %}

{#- First day of the month, as a date. -#}
{% macro month_start(column) -%}
    cast(date_trunc('month', {{ column }}) as date)
{%- endmacro %}

{#- Day of the week, 1 = Monday to 7 = Sunday. -#}
{% macro weekday(date_column) -%}
    ({{ days_between("cast('1900-01-01' as date)", date_column) }} % 7 + 1)
{%- endmacro %}

{#- First day (Monday) of the week, as a date. -#}
{% macro week_start(column) -%}
    cast(date_trunc('week', {{ column }}) as date)
{%- endmacro %}

{#- A JSON object of the named columns; columns listed in `personal` are pseudonymised in it. -#}
{% macro row_as_json(columns, personal=[]) -%}
    {{ return(adapter.dispatch('row_as_json', 'retour')(columns, personal)) }}
{%- endmacro %}
{% macro default__row_as_json(columns, personal) -%}
    cast(json_object(
        {%- for column in columns %}
        '{{ column }}', {{ pseudonym(column) if column in personal else column }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    ) as string)
{%- endmacro %}
{% macro spark__row_as_json(columns, personal) -%}
    to_json(named_struct(
        {%- for column in columns %}
        '{{ column }}', {{ pseudonym(column) if column in personal else column }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    ))
{%- endmacro %}

{#- A stable stand-in for a personal value. Set RETOUR_PEPPER to something secret: without it
    anybody who can guess the value can compute the same stand-in. -#}
{% macro pseudonym(column) -%}
    {{ return(adapter.dispatch('pseudonym', 'retour')(column)) }}
{%- endmacro %}
{% macro default__pseudonym(column) -%}
    substr(sha256({{ sql_text(env_var('RETOUR_PEPPER', 'retour')) }} || {{ column }}), 1, 16)
{%- endmacro %}
{% macro spark__pseudonym(column) -%}
    substr(sha2({{ sql_text(env_var('RETOUR_PEPPER', 'retour')) }} || {{ column }}, 256), 1, 16)
{%- endmacro %}

{#- A text literal that no content can break out of. -#}
{% macro sql_text(value) -%}
    '{{ value | string | replace("'", "''") }}'
{%- endmacro %}

{#- The same for a var that may be unset. -#}
{% macro sql_text_or_null(value) -%}
    {{ 'null' if value is none or value == '' else sql_text(value) }}
{%- endmacro %}

{#- One row for each whole number from the first to just below the second; only in a select list. -#}
{% macro each_number(first, end) -%}
    {{ return(adapter.dispatch('each_number', 'retour')(first, end)) }}
{%- endmacro %}
{% macro default__each_number(first, end) -%}
    unnest(range({{ first }}, {{ end }}))
{%- endmacro %}
{% macro spark__each_number(first, end) -%}
    explode(sequence({{ first }}, {{ end }} - 1))
{%- endmacro %}

{#- Money in another currency. The cast comes first: a product of two short decimals overflows; and
    most money needs no conversion. -#}
{% macro converted(amount, rate) -%}
    case
        when {{ rate }} = 1 then {{ money(amount) }}
        else {{ money('cast(' ~ amount ~ ' as decimal(38, 10)) * ' ~ rate) }}
    end
{%- endmacro %}

{#- A number as text, rounded to a whole one, with commas between thousands: 12,300. -#}
{% macro whole_number_text(number) -%}
    {{ return(adapter.dispatch('whole_number_text', 'retour')(number)) }}
{%- endmacro %}
{% macro default__whole_number_text(number) -%}
    format('{:,}', cast(round(cast({{ number }} as double), 0) as bigint))
{%- endmacro %}
{% macro spark__whole_number_text(number) -%}
    format_number(round(cast({{ number }} as double), 0), 0)
{%- endmacro %}

{#- A number in 0..1 that is drawn from a text by the var random_seed: the same on every engine,
    whatever the order of rows. Samples are its small values. -#}
{% macro hash_share(text) -%}
    {{ return(adapter.dispatch('hash_share', 'retour')(text)) }}
{%- endmacro %}
{% macro default__hash_share(text) -%}
    cast('0x' || substr(md5('{{ var('random_seed') | int }} ' || {{ text }}), 1, 7) as bigint)
    / 268435456.0
{%- endmacro %}
{% macro spark__hash_share(text) -%}
    cast(
        conv(substr(md5('{{ var('random_seed') | int }} ' || {{ text }}), 1, 7), 16, 10) as bigint
    ) / 268435456.0
{%- endmacro %}
