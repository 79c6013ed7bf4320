{{ repeated_rows(ref('int_returns_unioned'), id='return_id', document='document_id') }}
