-- model_pairs and model_bins: a pair has a row for every combination of the bins of its features

with bins as (

    select
        source,
        model_version,
        feature,
        count(*) as bin_count
    from {{ ref('model_bins') }}
    group by source, model_version, feature

),

pairs as (

    select
        source,
        model_version,
        feature_a,
        feature_b,
        count(*) as cell_count
    from {{ ref('model_pairs') }}
    group by source, model_version, feature_a, feature_b

)

select
    pairs.source,
    pairs.model_version,
    pairs.feature_a,
    pairs.feature_b
from pairs
left join bins as bins_a
    on
        pairs.source = bins_a.source
        and pairs.model_version = bins_a.model_version
        and pairs.feature_a = bins_a.feature
left join bins as bins_b
    on
        pairs.source = bins_b.source
        and pairs.model_version = bins_b.model_version
        and pairs.feature_b = bins_b.feature
where pairs.cell_count <> coalesce(bins_a.bin_count * bins_b.bin_count, 0)
