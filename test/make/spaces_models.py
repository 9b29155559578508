"""Models of spaces for sklearn-models.py: decompositions, kernel methods, neighbours, mixtures and their kin.

Numbers with one decimal or none make many equal distances, so that the order among equals shows.
"""
import numpy as np
from sklearn.base import clone
from sklearn.cluster import *
from sklearn.cluster import AffinityPropagation, Birch, FeatureAgglomeration, KMeans, MeanShift, MiniBatchKMeans
from sklearn.covariance import EllipticEnvelope
from sklearn.cross_decomposition import *
from sklearn.decomposition import *
from sklearn.gaussian_process import *
from sklearn.gaussian_process.kernels import *
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_approximation import *
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import *
from sklearn.mixture import *
from sklearn.neighbors import *
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import *
from sklearn.random_projection import *
from sklearn.svm import *

COVARIANCES = ["full", "tied", "diag", "spherical"]
PAIRWISE = ["linear", "rbf", "poly", "sigmoid", "cosine", "laplacian", "chi2", "additive_chi2"]
METRICS = ["euclidean", "manhattan", "chebyshev", "minkowski", "cosine", "hamming", "canberra", "braycurtis",
           "haversine", "seuclidean", "sqeuclidean", "correlation", "l1", "l2", "cityblock"]

# What predicts and transforms: both are recorded.
SPACES_WITH_BOTH = (Birch, BisectingKMeans, PLSRegression, PLSCanonical, CCA, IsotonicRegression)


def add_spaces(add, release, A, y3, y2, z, T):
    """Calls add(name, make, X, y, rows to predict) for each; A and T are rows of five columns, z is a target."""
    random = np.random.RandomState(11)
    names = np.array(["bad", "good", "über"])[y3]
    positive, positive_test = np.abs(A), np.abs(T)
    counts, counts_test = np.abs(A * 3).round(), np.abs(T * 3).round()
    targets = np.c_[z, -z + A[:, 0] ** 2, A[:, 1]]
    coarse, coarse_test = A.round(), T.round()
    wide, wide_test = random.randint(0, 4, (600, 3)).astype(float), random.randint(0, 4, (60, 3)).astype(float)
    wide_y = random.randint(0, 3, 600)

    def each(prefix, made, X, y, test):
        for name, model in made.items():
            add(prefix + name, (lambda model: lambda: clone(model))(model), X, y, test)

    for bounds in ["nan", "clip"]:
        add("isotonic_" + bounds, lambda bounds=bounds: IsotonicRegression(out_of_bounds=bounds), A[:, 0], z, T[:, 0])
    add("isotonic_falling", lambda: IsotonicRegression(increasing=False, out_of_bounds="clip", y_min=-1), A[:, :1], z, T[:, :1])
    add("isotonic_const", lambda: IsotonicRegression(out_of_bounds="clip"), np.ones(9), np.arange(9.0), T[:, 0])

    each("pls_", {"1": PLSRegression(1), "2": PLSRegression(2), "raw": PLSRegression(2, scale=False)}, A, z, T)
    each("pls_multi_", {"reg": PLSRegression(2), "canonical": PLSCanonical(2), "power": PLSCanonical(2, algorithm="svd"), "cca": CCA(2), "svd": PLSSVD(2)}, A, targets, T)

    kernels = {
        "rbf": RBF(), "rbf_each": RBF([1.0, 2, 0.5, 1, 3]), "matern05": Matern(nu=0.5), "matern15": 2.0 * Matern(1.3, nu=1.5),
        "matern25": Matern([1, 2, 1, 1, 2], nu=2.5), "matern_inf": Matern(nu=np.inf), "matern_other": Matern(2.0, nu=0.8),
        "rational": RationalQuadratic(1.5, 0.7), "sine": ExpSineSquared(2.0, 5.0) + WhiteKernel(30.0), "dot": DotProduct(0.5) ** 2,
        "sum": ConstantKernel(0.5) * RBF(2.0) + WhiteKernel(0.2) + DotProduct(), "pairwise": PairwiseKernel(metric="laplacian", gamma=0.3),
        "chained": (RBF(3.0) + 0.5) ** 2 * Matern(2.0) + WhiteKernel(),
    }
    for name, kernel in kernels.items():
        add("gpr_" + name, lambda kernel=kernel: GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None), A, z, T)
    add("gpr_default", lambda: GaussianProcessRegressor(alpha=0.1), A, z, T)
    add("gpr_fitted", lambda: GaussianProcessRegressor(RBF() + WhiteKernel(), normalize_y=True, random_state=0), A, z, T)
    add("gpr_multi", lambda: GaussianProcessRegressor(RBF(2.0), alpha=0.1, normalize_y=True, optimizer=None), A, targets, T)
    add("gpr_column", lambda: GaussianProcessRegressor(RBF(2.0), alpha=0.1, optimizer=None), A, z[:, None], T)
    add("gpr_small", lambda: GaussianProcessRegressor((RBF(3.0) + 0.5) ** 2 * Matern(2.0) + WhiteKernel(), alpha=0.1, normalize_y=True, optimizer=None), A[:25], targets[:25], T)
    add("gpc_small", lambda: GaussianProcessClassifier(Matern(2.0) + WhiteKernel(0.1), optimizer=None), A[:25], names[:25], T)
    add("gpc_2", lambda: GaussianProcessClassifier(1.5 * RBF(1.2)), A, y2, T)
    add("gpc_default", lambda: GaussianProcessClassifier(), A, y2 > 0, T)
    add("gpc_3", lambda: GaussianProcessClassifier(Matern(2.0) + WhiteKernel(0.1), optimizer=None), A, names, T)
    add("gpc_ovo", lambda: GaussianProcessClassifier(RBF(2.0), multi_class="one_vs_one", optimizer=None), A, names, T)

    for extrapolation in ["error", "constant", "linear", "continue", "periodic"]:
        for degree, knots in [(3, "uniform"), (2, "quantile"), (1, "uniform"), (4, "uniform")]:
            add("spline_%s_%d" % (extrapolation, degree), lambda e=extrapolation, d=degree, k=knots: SplineTransformer(6, degree=d, knots=k, extrapolation=e, include_bias=d != 2), A, None, T.clip(A.min(0), A.max(0)) if extrapolation == "error" else 2 * T)
    add("spline_0", lambda: SplineTransformer(4, degree=0), A, None, T)
    add("spline_given", lambda: SplineTransformer(knots=np.linspace(-2, 2, 5)[:, None] * np.ones(5), degree=3, extrapolation="linear"), A, None, T)
    add("spline_ridge", lambda: make_pipeline(SplineTransformer(), Ridge()), A, z, T)

    for kernel in PAIRWISE:
        rows, test = (positive, positive_test) if "chi2" in kernel else (A, T)
        add("nystroem_" + kernel, lambda kernel=kernel: Nystroem(kernel, n_components=4 if kernel in ("linear", "cosine") else 20, random_state=0), rows, None, test)
        add("kridge_" + kernel, lambda kernel=kernel: KernelRidge(kernel=kernel, alpha=1, gamma=0.4 if kernel == "chi2" else None), rows, z, test)
    add("nystroem_given", lambda: Nystroem("polynomial", gamma=0.2, coef0=2, degree=2, n_components=8, random_state=0), A, None, T)
    add("kridge_given", lambda: KernelRidge(kernel="polynomial", gamma=0.2, coef0=2, degree=4), positive, targets, positive_test)
    each("t_rbf_sampler", {"": RBFSampler(random_state=0), "_gamma": RBFSampler(gamma=0.3, n_components=7, random_state=0)}, A, None, T)
    if release >= (1, 2):
        add("t_rbf_sampler_scale", lambda: RBFSampler(gamma="scale", random_state=0), A, None, T)
    add("t_skewed_chi2", lambda: SkewedChi2Sampler(skewedness=0.5, n_components=9, random_state=0), positive, None, positive_test)
    for steps in [1, 2, 3]:
        add("t_additive_chi2_%d" % steps, lambda steps=steps: AdditiveChi2Sampler(sample_steps=steps), positive, None, positive_test)
    add("t_additive_chi2_own", lambda: AdditiveChi2Sampler(sample_steps=4, sample_interval=0.35), counts, None, counts_test)
    each("t_sketch", {"": PolynomialCountSketch(random_state=0), "_3": PolynomialCountSketch(gamma=0.5, degree=3, coef0=2, n_components=17, random_state=0), "_1": PolynomialCountSketch(degree=1, coef0=1, n_components=4, random_state=0)}, A, None, T)
    for kernel in ["linear", "poly", "rbf", "sigmoid", "cosine"]:
        add("t_kpca_" + kernel, lambda kernel=kernel: KernelPCA(3, kernel=kernel), A, None, T)
    add("t_kpca_all", lambda: KernelPCA(kernel="rbf", gamma=0.1, remove_zero_eig=True, alpha=0.5, fit_inverse_transform=True), A, None, T)

    each("t_", {
        "nca": NeighborhoodComponentsAnalysis(2, random_state=0, max_iter=5),
    }, A, y3, T)
    each("t_", {
        "pca": PCA(3), "pca_all": PCA(), "pca_white": PCA(3, whiten=True), "pca_mle": PCA("mle"), "pca_random": PCA(2, svd_solver="randomized", random_state=0),
        "ipca": IncrementalPCA(2), "ipca_white": IncrementalPCA(2, whiten=True), "svd": TruncatedSVD(2), "svd_arpack": TruncatedSVD(2, algorithm="arpack", random_state=0),
        "ica": FastICA(2, random_state=0), "ica_plain": FastICA(random_state=0, whiten=False), "factors": FactorAnalysis(2), "factors_rotated": FactorAnalysis(2, rotation="varimax", svd_method="lapack"),
        "gauss_projection": GaussianRandomProjection(3, random_state=0), "sparse_projection": SparseRandomProjection(3, density=0.5, random_state=0), "sparse_projection_dense": SparseRandomProjection(3, dense_output=True, random_state=0),
        "sparse_pca": SparsePCA(3, random_state=0, max_iter=20), "sparse_pca_many": SparsePCA(6, ridge_alpha=0.1, random_state=0, max_iter=10), "mb_sparse_pca": MiniBatchSparsePCA(2, random_state=0),
        "dictionary": DictionaryLearning(6, random_state=0, max_iter=10), "dictionary_omp3": DictionaryLearning(8, transform_n_nonzero_coefs=3, random_state=0, max_iter=10),
        "dictionary_omp_tol": DictionaryLearning(8, transform_alpha=0.3, transform_algorithm="omp", random_state=0, max_iter=10), "dictionary_threshold": DictionaryLearning(6, transform_algorithm="threshold", transform_alpha=0.2, random_state=0, max_iter=10),
        "dictionary_split": DictionaryLearning(6, transform_algorithm="threshold", split_sign=True, random_state=0, max_iter=10), "mb_dictionary": MiniBatchDictionaryLearning(5, random_state=0),
        "dictionary_lars": DictionaryLearning(6, transform_algorithm="lasso_lars", random_state=0, max_iter=10), "dictionary_cd": DictionaryLearning(6, transform_algorithm="lasso_cd", transform_alpha=0.1, random_state=0, max_iter=10),
        "agglomeration": FeatureAgglomeration(2), "agglomeration_max": FeatureAgglomeration(3, pooling_func=np.max), "agglomeration_median": FeatureAgglomeration(2, pooling_func=np.median),
    }, A, None, T)
    each("t_", {
        "nmf": NMF(3, random_state=0, max_iter=400), "nmf_mu": NMF(2, solver="mu", random_state=0, max_iter=400), "nmf_kl": NMF(2, solver="mu", beta_loss="kullback-leibler", random_state=0, init="nndsvda"),
        "nmf_l1": NMF(2, random_state=0, alpha_W=0.01, l1_ratio=0.5), "mbnmf": MiniBatchNMF(2, random_state=0) if release >= (1, 1) else NMF(2),
    }, positive + 0.1, None, positive_test + 0.1)
    each("t_", {"lda_topics": LatentDirichletAllocation(3, random_state=0, max_iter=5), "lda_online": LatentDirichletAllocation(4, learning_method="online", doc_topic_prior=0.3, random_state=0, max_iter=3)}, counts, None, counts_test)

    for covariance in COVARIANCES:
        add("gmm_" + covariance, lambda covariance=covariance: GaussianMixture(3, covariance_type=covariance, random_state=0), A, None, T)
        add("bgmm_" + covariance, lambda covariance=covariance: BayesianGaussianMixture(n_components=4, covariance_type=covariance, random_state=0), A, None, T)
    add("bgmm_dirichlet", lambda: BayesianGaussianMixture(n_components=3, weight_concentration_prior_type="dirichlet_distribution", random_state=0), A, None, T)
    add("gmm_one", lambda: GaussianMixture(), A, None, T)

    each("c_", {
        "birch": Birch(), "birch_none": Birch(threshold=0.8, n_clusters=None), "birch_other": Birch(threshold=0.5, n_clusters=KMeans(3, n_init=1, random_state=0)), "affinity": AffinityPropagation(random_state=0), "meanshift": MeanShift(bandwidth=2.0),
        "kmeans": KMeans(4, n_init=1, random_state=0), "minibatch": MiniBatchKMeans(4, n_init=1, random_state=0),
    }, A, None, T)
    if release >= (1, 1):
        each("c_bisect_", {"3": BisectingKMeans(3, random_state=0), "7": BisectingKMeans(7, random_state=0, bisecting_strategy="largest_cluster"), "1": BisectingKMeans(1, random_state=0)}, A, None, T)

    each("o_", {
        "one_class": OneClassSVM(kernel="poly", degree=2, coef0=1), "sgd_one_class": SGDOneClassSVM(random_state=0, nu=0.3), "envelope": EllipticEnvelope(random_state=0), "envelope_raw": EllipticEnvelope(random_state=0, assume_centered=True, contamination=0.2),
        "lof": LocalOutlierFactor(novelty=True), "lof_5": LocalOutlierFactor(5, novelty=True, contamination=0.2, metric="manhattan"), "lof_brute": LocalOutlierFactor(8, novelty=True, algorithm="brute"),
    }, A, None, T)
    add("o_lof_ties", lambda: LocalOutlierFactor(10, novelty=True), wide + 0.01 * random.normal(size=wide.shape).round(1), None, wide_test)

    for kernel in ["gaussian", "tophat", "epanechnikov", "exponential", "linear", "cosine"]:
        add("kde_" + kernel, lambda kernel=kernel: KernelDensity(kernel=kernel, bandwidth=1.5), A, None, T)
    add("kde_metric", lambda: KernelDensity(metric="manhattan", algorithm="ball_tree", bandwidth=0.7), A, None, T)
    if release >= (1, 2):
        add("kde_scott", lambda: KernelDensity(bandwidth="scott"), A, None, T)

    for metric in METRICS:
        rows, test = (A[:, :2], T[:, :2]) if metric == "haversine" else (A, T)
        params = {"p": 3} if metric == "minkowski" else {}
        add("knn_" + metric, lambda metric=metric, params=params: KNeighborsClassifier(4, metric=metric, **params), rows, names, test)
        add("knn_reg_" + metric, lambda metric=metric, params=params: KNeighborsRegressor(4, metric=metric, weights="distance", **params), rows, z, test)
        add("knn_ties_" + metric, lambda metric=metric, params=params: KNeighborsRegressor(5, metric=metric, **params), coarse[:, :rows.shape[1]], z, coarse_test[:, :rows.shape[1]])
    for algorithm in ["brute", "kd_tree", "ball_tree"]:
        add("knn_equals_" + algorithm, lambda algorithm=algorithm: KNeighborsClassifier(7, algorithm=algorithm, leaf_size=5), wide, wide_y, wide_test)
        add("knn_equals_reg_" + algorithm, lambda algorithm=algorithm: KNeighborsRegressor(7, algorithm=algorithm, weights="distance"), wide, np.arange(600.0), wide_test)
        add("radius_" + algorithm, lambda algorithm=algorithm: RadiusNeighborsClassifier(1.5, algorithm=algorithm, outlier_label="most_frequent"), A, y3, T)
        add("radius_reg_" + algorithm, lambda algorithm=algorithm: RadiusNeighborsRegressor(2.0, algorithm=algorithm, weights="distance"), A, z, T)
    add("knn_multi_cls", lambda: KNeighborsClassifier(3), A, np.c_[y3, y2], T)
    add("knn_multi_reg", lambda: KNeighborsRegressor(3, weights="distance"), coarse, targets, coarse_test)
    add("radius_label", lambda: RadiusNeighborsClassifier(1.0, outlier_label=2, weights="distance"), A, y3, T)
    add("radius_none", lambda: RadiusNeighborsClassifier(50.0), A, names, T)
    add("radius_multi", lambda: RadiusNeighborsRegressor(1.8, metric="manhattan"), A, targets, T)
    add("radius_cosine", lambda: RadiusNeighborsClassifier(0.3, metric="cosine", outlier_label=0), A, y3, T)
    for metric in ["euclidean", "manhattan"]:
        add("centroid_" + metric, lambda metric=metric: NearestCentroid(metric=metric), A, names, T)
        add("centroid_shrunk_" + metric, lambda metric=metric: NearestCentroid(metric=metric, shrink_threshold=0.2), A, y2, T)
    if release >= (1, 5):
        add("centroid_priors", lambda: NearestCentroid(priors="empirical"), A, names, T)
        add("centroid_given", lambda: NearestCentroid(priors=[0.3, 0.7]), A, y2, T)
    add("t_knn_distance", lambda: KNeighborsTransformer(n_neighbors=3), A, None, T)
    add("t_knn_connect", lambda: KNeighborsTransformer(mode="connectivity", n_neighbors=3), A, None, T)
    add("t_radius", lambda: RadiusNeighborsTransformer(radius=1.5), A, None, T)
